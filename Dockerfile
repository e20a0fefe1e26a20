# docker build -t cplab .          then: docker run -p 127.0.0.1:8888:8888 cplab
# JupyterLab prints the address with its token. With the build of torch for CPUs.
FROM python:3.12-slim
RUN pip install --no-cache-dir uv
COPY . /opt/cplab
COPY binder/overrides.json /usr/local/share/jupyter/lab/settings/
RUN uv pip install --system --no-cache --torch-backend cpu --compile-bytecode "/opt/cplab[lab]"
RUN useradd --create-home --uid 1000 student
USER student
WORKDIR /home/student
RUN cplab lab --copy
EXPOSE 8888
CMD ["python", "-m", "jupyterlab", "--no-browser", "--ServerApp.ip=0.0.0.0", "--LabApp.default_url=/lab/tree/cplab-labs/00_a_critical_period_in_a_minute.ipynb"]
