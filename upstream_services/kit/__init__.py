"""What is the same for all module services: a resource is one short declaration, the kit gives it its endpoints."""
