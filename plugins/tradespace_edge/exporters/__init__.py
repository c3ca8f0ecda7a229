"""Plans for the tools that run models: llama.cpp, vLLM, SGLang, ONNX Runtime, Olive, TFLite-Micro, Kubernetes."""
