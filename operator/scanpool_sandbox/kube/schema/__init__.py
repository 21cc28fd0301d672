"""What a structural OpenAPI schema does to an object: prune, default, validate, CEL rules."""
