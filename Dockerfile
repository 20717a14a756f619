# One file for every image: --build-arg EXTRAS=base|onnx|operator|tensorflow|torch|light, on any base with Python 3.11 and venv.
# What goes in is locked with hashes in requirements/, which `make lock` writes; requirements/slim.py there takes out of it what is
# not needed. PyTorch's CPU build is not on PyPI: for torch say where it is by --build-arg PIP_EXTRA_INDEX_URL=... or PIP_FIND_LINKS=...
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS build
ARG EXTRAS=base
ARG PIP_EXTRA_INDEX_URL=""
ARG PIP_FIND_LINKS=""
WORKDIR /build
COPY requirements/build.txt requirements/${EXTRAS}.txt requirements/slim.py requirements/
RUN python3 -m venv /tools \
    && /tools/bin/pip install --no-cache-dir --require-hashes -r requirements/build.txt \
    && python3 -m venv --without-pip /opt/goldwatch \
    && /tools/bin/pip --python /opt/goldwatch/bin/python install --no-cache-dir --only-binary :all: \
        --require-hashes -r "requirements/${EXTRAS}.txt" \
    && /tools/bin/python requirements/slim.py "${EXTRAS}" /opt/goldwatch/lib/python3*/site-packages
COPY pyproject.toml README.md LICENSE ./
COPY agent agent
COPY probes probes
COPY dashboards dashboards
RUN /tools/bin/python -m hatchling build -t wheel \
    && /tools/bin/pip --python /opt/goldwatch/bin/python install --no-cache-dir --no-deps --no-index dist/*.whl \
    && /tools/bin/cyclonedx-py environment --output-reproducible --of JSON -o /opt/goldwatch/sbom.cdx.json \
        /opt/goldwatch/bin/python

FROM ${BASE_IMAGE}
ARG EXTRAS=base
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="goldwatch" \
      org.opencontainers.image.description="Continuous production monitoring of deployed models" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      dev.goldwatch.extras="${EXTRAS}" \
      dev.goldwatch.sbom="/opt/goldwatch/sbom.cdx.json"
COPY --from=build /opt/goldwatch /opt/goldwatch
ENV PATH=/opt/goldwatch/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    STATE_DIRECTORY=/var/lib/goldwatch
USER 65532:65532
WORKDIR /
EXPOSE 9870
HEALTHCHECK --interval=30s --timeout=6s --start-period=60s CMD ["goldwatch", "health"]
ENTRYPOINT ["goldwatch"]
CMD ["run", "/etc/goldwatch/goldwatch.yaml"]
