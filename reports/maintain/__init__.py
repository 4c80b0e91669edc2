"""What maintainers run: the zoo made, its hardware verified, published numbers compared."""
