# The project and its environment, by the pins of requirements.lock and constraints.txt, as
# apptainer.def has it for Apptainer. docs/paper.md tells how to run it.
#
#   docker build --tag speciarl .                                   # for GPUs, with vLLM
#   docker build --tag speciarl-cpu --build-arg EXTRAS=dev .        # without
#
# PyPI's torch is built for CUDA. For a build without, some GB smaller, add PyTorch's index of CPU
# builds (pytorch.org, "Get Started", names it): --build-arg PIP_EXTRA_INDEX_URL=…
FROM python:3.11.14-slim-bookworm

ARG EXTRAS=vllm
ARG PIP_EXTRA_INDEX_URL
ARG PIP_NO_CACHE_DIR=1
ARG PIP_ROOT_USER_ACTION=ignore

# git for DVC, a compiler for the kernels that Triton writes
RUN apt-get update && apt-get install --yes --no-install-recommends g++ git \
    && rm -r /var/lib/apt/lists/*

WORKDIR /speciarl
COPY constraints.txt requirements.lock ./
RUN pip install torch==2.13.0 -c constraints.txt
RUN pip install --require-hashes --no-deps -r requirements.lock
COPY . .
RUN pip install -e ".[$EXTRAS]" -c constraints.txt
RUN pip check

# No packages of the user's own; Apptainer shows the image the home of who runs it
ENV PYTHONNOUSERSITE=1

# Whoever runs it, this user or that of --user, has a home to write to and a name, as torch wants
RUN useradd --create-home speciarl && chmod a+rwx /home/speciarl && chown -R speciarl .
ENV HOME=/home/speciarl LOGNAME=speciarl
USER speciarl
CMD ["speciarl"]
