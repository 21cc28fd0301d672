"""The HTTP side: paths, discovery, OpenAPI, tables, watches, and the handlers of each verb."""
