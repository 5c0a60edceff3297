"""How well scores find fraud: figures, pictures and reports of labelled periods."""
