"""What the engine answers to each call of its API: one function a call, one file a kind; routes.py has the table.

A function reads the request, asks one room of the engine, and says what came of it; it decides nothing.
"""
