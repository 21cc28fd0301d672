"""Workers as users run them: Celery with gevent, the OpenAI SDK, OpenTelemetry's metrics."""
