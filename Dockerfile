# The page for others: docker build -t amortex-page . && docker run --rm -p 8224:8224 amortex-page
FROM python:3.12-slim

# pip's own settings: an index that holds torch without CUDA makes the image some gigabytes smaller
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
WORKDIR /srv/amortex
COPY pyproject.toml README.md LICENSE ./
COPY amortex amortex
RUN pip install --no-cache-dir ".[page]" \
    && useradd --create-home page
USER page
# PORT and FRAME may be set from outside: a Hugging Face Space has PORT=7860 FRAME=https://huggingface.co
ENV PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1 MPLCONFIGDIR=/tmp/matplotlib PORT=8224 FRAME=
EXPOSE 8224
HEALTHCHECK --start-period=60s CMD python -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:$PORT/health')"
CMD exec python -m amortex.page --host 0.0.0.0 --port "$PORT" ${FRAME:+--frame "$FRAME"}
