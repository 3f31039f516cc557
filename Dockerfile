# The server and its page. Build: docker build -t pleinair . Run: see compose.yaml and docs/serve.md.
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
RUN python -m venv /opt/pleinair && \
    /opt/pleinair/bin/python -m pip install --no-cache-dir --constraint constraints.txt '.[serve,heif]' && \
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
