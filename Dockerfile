# syntax=docker/dockerfile:1
#   docker build --target cpu -t mnasnet:cpu .
#   docker build --target gpu -t mnasnet:gpu .    (the host needs NVIDIA's driver and Container Toolkit)
# docs/how-to/gpu.md says how to run them.

# What pip needs to build the package; it does not stay in the images.
FROM python:3.11-slim-bookworm AS source
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY configs configs
COPY data_prep data_prep
COPY mnasnet_cli mnasnet_cli

FROM python:3.11-slim-bookworm AS base
# Any user can write to /tmp: `docker run --user` names one without a home folder.
ENV HOME=/tmp PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /workspace
ENTRYPOINT ["mnasnet"]
CMD ["--help"]

# The CUDA libraries are Python packages, so no CUDA image is needed.
FROM base AS gpu
RUN --mount=type=bind,from=source,source=/src,target=/src,rw \
    python -m pip install --no-cache-dir --constraint /src/constraints.txt '/src[gpu]'
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 1000:1000

FROM base AS cpu
RUN --mount=type=bind,from=source,source=/src,target=/src,rw \
    python -m pip install --no-cache-dir --constraint /src/constraints.txt /src
USER 1000:1000
