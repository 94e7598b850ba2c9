"""The production system's jobs: train weekly, publish, score daily; functions of a date."""
