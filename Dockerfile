# docker build --target scanpool -t scanpool:0.1.0 .                  the operator
# docker build --target sandbox  -t scanpool-sandbox:0.1.0 .          its stand-ins, for kind
# A release names it by digest: --build-arg PYTHON=python:3.11-slim@sha256:...
ARG PYTHON=python:3.11-slim
FROM ${PYTHON} AS base
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1

FROM base AS build
# The virtual environment is copied into the image; pip stays here.
RUN python -m venv --without-pip /opt/scanpool
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./

FROM build AS build-scanpool
# Only the product's package is copied: a wheel holds the packages that are there. The commands of the
# others are declared all the same, and go.
COPY operator/scanpool operator/scanpool
RUN pip --python /opt/scanpool install --no-cache-dir -c constraints.txt ".[keda]" \
    && rm /opt/scanpool/bin/scanpool-sandbox /opt/scanpool/bin/scanpool-replay

FROM build AS build-sandbox
COPY operator operator
RUN pip --python /opt/scanpool install --no-cache-dir -c constraints.txt ".[sandbox]"

FROM base AS runtime
ARG REVISION=unknown
LABEL org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/scanpool/bin:$PATH
# A number, so that the kubelet can tell that it is not root.
USER 65532:65532

FROM runtime AS sandbox
LABEL org.opencontainers.image.title="scanpool-sandbox" \
      org.opencontainers.image.description="Stand-ins to try scanpool with: LLM provider, scan worker, users."
COPY --from=build-sandbox /opt/scanpool /opt/scanpool
ENTRYPOINT ["scanpool-sandbox"]

# The last stage is what `docker build` makes without a --target.
FROM runtime AS scanpool
LABEL org.opencontainers.image.title="scanpool" \
      org.opencontainers.image.description="Scales workers on queue depth, capped by the LLM provider's token limit and by memory."
COPY --from=build-scanpool /opt/scanpool /opt/scanpool
ENTRYPOINT ["scanpool"]
CMD ["run"]
