# The environment in which results can be repeated: base image by digest, packages by hash.
#   docker build -t resnet-repro . && docker run --rm resnet-repro repro.attest
FROM python:3.11-slim-bookworm@sha256:b18992999dbe963a45a8a4da40ac2b1975be1a776d939d098c647482bcad5cba

RUN apt-get update && apt-get install --yes --no-install-recommends git && rm -rf /var/lib/apt/lists/*
WORKDIR /resnet-repro
COPY requirements.lock ./
RUN python -m pip install --no-cache-dir --require-hashes --requirement requirements.lock
COPY . .
RUN python -m pip install --no-cache-dir --no-deps --editable .
ENTRYPOINT ["python", "-m"]
CMD ["repro.run", "--list"]
