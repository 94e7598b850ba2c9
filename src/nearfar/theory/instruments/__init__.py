"""One file per instrument; each measures one statement of the paper on a fitted model."""
