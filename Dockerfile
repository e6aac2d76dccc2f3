# The service and its pinned packages, nothing else. docs/docker.md says how to build and run it.
ARG PYTHON_IMAGE=python:3.14-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /app
RUN python -m venv --without-pip venv
COPY requirements.txt requirements-redis.txt requirements-sentry.txt requirements-tracing.txt /tmp/
ARG REQUIREMENTS="-r requirements.txt"
RUN cd /tmp && python -m pip --python /app/venv/bin/python install --no-cache-dir --no-compile \
    --only-binary=:all: --require-hashes ${REQUIREMENTS}
COPY gunicorn.conf.py wsgi.py ./
COPY portal_service portal_service
# Bytecode once and for all, of Python's library too, which official images bring without: nothing
# can be written later. And readable by everyone, whatever the umask of the checkout was.
RUN export PYTHONPYCACHEPREFIX=/app/bytecode \
    && compile="-m compileall -qf --invalidation-mode unchecked-hash" \
    && venv/bin/python $compile /app \
    && python $compile -x '/(site-packages|tests?|idlelib|lib2to3)/' \
        "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && chmod -R u=rwX,go=rX .

FROM ${PYTHON_IMAGE}
ENV PATH=/app/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPYCACHEPREFIX=/app/bytecode \
    PYTHONUNBUFFERED=1
WORKDIR /app
COPY --from=build /app .
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
# Not urllib: it would ask HTTP_PROXY for the way to this very container.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client, os; \
        service = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('PORT') or 8000)); \
        service.request('GET', '/healthz'); \
        raise SystemExit(service.getresponse().status != 200)"]
CMD ["gunicorn", "wsgi:app"]
