"""Where transactions come from: delimited text, Parquet, JSON lines and SQL databases."""
