# One image for all services in compose.yaml; their commands differ.
FROM python:3.12-slim
WORKDIR /app
COPY pyproject.toml README.md LICENSE ./
COPY notify notify
COPY workers workers
COPY cli cli
RUN pip install --no-cache-dir . && useradd --create-home notify
USER notify
ENTRYPOINT ["notify"]
