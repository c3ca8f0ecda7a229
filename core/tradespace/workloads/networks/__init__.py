"""Network files (ONNX, TFLite): each format becomes a `Network`, and a `Network` becomes an operator graph."""
