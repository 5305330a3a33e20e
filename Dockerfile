# One image for all services in compose.yaml; their commands differ.
FROM python:3.12-slim
WORKDIR /app
COPY pyproject.toml README.md LICENSE ./
COPY notify notify
COPY workers workers
COPY cli cli
# tini is the init: process 1 has to reap the processes that others leave behind.
RUN apt-get update && apt-get install --yes --no-install-recommends tini && rm -rf /var/lib/apt/lists/* \
    && pip install --no-cache-dir . && useradd --create-home notify
USER notify
ENTRYPOINT ["tini", "-s", "--", "notify"]
