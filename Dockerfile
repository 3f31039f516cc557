# The server and its page. Build: docker build -t pleinair . Run: see compose.yaml and docs/serve.md.
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY requirements ./requirements
COPY src ./src
# Every file that comes from elsewhere has the hash that it had when this was tested.
RUN python -m venv /opt/pleinair && python -m venv /opt/build && \
    /opt/build/bin/python -m pip install --no-cache-dir --no-deps --require-hashes --requirement requirements/build.txt && \
    /opt/build/bin/python -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /opt/build/wheels --require-hashes --requirement requirements/serve.txt && \
    /opt/build/bin/python -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /opt/build/wheels . && \
    /opt/pleinair/bin/python -m pip install --no-cache-dir --no-deps --no-index /opt/build/wheels/*.whl && \
    /opt/pleinair/bin/python -m compileall -q /opt/pleinair

FROM python:3.13-slim
COPY --from=build /opt/pleinair /opt/pleinair
# Nothing is written but to /tmp, so the file system may be read-only.
ENV PATH=/opt/pleinair/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
WORKDIR /tmp
# A number, so that orchestrators see that it is not root.
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
# PLEINAIR_KEY has to be set; painters of your own lie in a folder: --painters /painters
ENTRYPOINT ["pleinair", "serve", "--host", "0.0.0.0", "--port", "8000"]
