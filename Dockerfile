# The service in a container; photos are decoded in processes of their own, with limits, as everywhere.
#
#     docker build -t geoclip .                                    # for a CPU
#     docker build -t geoclip --build-arg TORCH=cuda .             # for NVIDIA GPUs: 5 GB more
#     docker run --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges --memory 8g \
#         -p 127.0.0.1:8000:8000 -e GEOCLIP_API_KEY=... -v geoclip-cache:/cache geoclip
#
# The volume holds weights and indexes (see geoclip/serve/README.md); it may be mounted read-only when they are there.
FROM python:3.13-slim-bookworm

ARG TORCH=cpu
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 GEOCLIP_CACHE=/cache HF_HOME=/cache/hub HOME=/tmp

WORKDIR /opt/geoclip
# versions are those of pyproject.toml
# hadolint ignore=DL3013
RUN if [ "$TORCH" = cpu ]; then \
      pip install --index-url https://download.pytorch.org/whl/cpu torch torchvision; \
    fi
COPY pyproject.toml README.md LICENSE ./
COPY geoclip geoclip
COPY index index
# hadolint ignore=DL3013
RUN pip install '.[serve]' \
 && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin geoclip \
 && mkdir /cache \
 && chown geoclip /cache

USER 10001
WORKDIR /tmp
VOLUME /cache
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/ready', timeout=2)"]
ENTRYPOINT ["geoclip"]
CMD ["serve", "--host", "0.0.0.0"]
