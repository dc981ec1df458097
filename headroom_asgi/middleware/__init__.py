"""ASGI in, ASGI out. The door."""

from headroom_asgi.middleware.asgi import HeadroomMiddleware

__all__ = ["HeadroomMiddleware"]
