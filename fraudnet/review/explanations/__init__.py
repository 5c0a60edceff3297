"""Why a case was flagged: by the Keras network where there is one, by the artifact otherwise."""
