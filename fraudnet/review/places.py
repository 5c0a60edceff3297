"""Where the review's files are, from anywhere in a clone."""

from pathlib import Path

DEMO = Path("build/demo")
DEFAULT_DATABASE = DEMO / "reviews.sqlite"
DEFAULT_DEVICE_STORE = DEMO / "cases.sqlite"
DEFAULT_ARTIFACT = DEMO / "fraud.tflite"
DEFAULT_MODEL = DEMO / "model"
DEFAULT_NOTEBOOK = Path("notebooks/review_flagged_cases.ipynb")
DEFAULT_TOUR = Path("notebooks/from_transactions_to_phone.ipynb")
QUALITY_NOTEBOOK = Path("notebooks/alert_quality.ipynb")


def find_upwards(path: Path) -> Path | None:
    """A relative path's file in the working directory, or the nearest directory above it that has.

    An absolute path is itself, if it is there.
    """
    candidates = (directory / path for directory in (Path.cwd(), *Path.cwd().parents))
    return next((candidate for candidate in candidates if candidate.exists()), None)
