"""Notes in PostgreSQL, and in Redis how often they were read."""

import os
from pathlib import Path

import psycopg2
import redis
from flask import Flask, jsonify, request

app = Flask(__name__)
cache = redis.Redis(os.environ["CACHE"], decode_responses=True)


def database():
    password = Path("/run/secrets/database_password").read_text().strip()
    connection = psycopg2.connect(os.environ["DATABASE"], password=password)
    connection.autocommit = True
    return connection


@app.get("/health")
def health():
    return jsonify(cache=cache.ping())


@app.post("/notes")
def write():
    with database() as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO notes (text) VALUES (%s) RETURNING id", (request.get_data(as_text=True),))
        return jsonify(id=cursor.fetchone()[0]), 201


@app.get("/notes")
def read():
    with database() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id, text FROM notes ORDER BY id")
        found = [{"id": number, "text": text} for number, text in cursor.fetchall()]
    return jsonify(notes=found, reads=cache.incr("reads"))
