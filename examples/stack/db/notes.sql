CREATE USER notes PASSWORD :'password';
CREATE DATABASE notes OWNER notes;
\connect notes notes
CREATE TABLE notes (id serial PRIMARY KEY, text text NOT NULL);
