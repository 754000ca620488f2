"""The Dockerfile language: pure, text to placed instructions."""
