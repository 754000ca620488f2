"""Documents made from the specification's own JSON Schema: we take exactly those that the schema and the rules beyond it take.

`python -m tests.spec.differential --help`. compose-spec.json is the unchanged schema of compose-spec/compose-go v2.14.0
(Apache License 2.0, LICENSE.compose-spec).
"""
