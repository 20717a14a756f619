"""Save the digits as an MLflow model: `python mlflow_digits.py MODEL FOLDER`."""

import sys

import mlflow.onnx
import onnx

mlflow.onnx.save_model(onnx.load(sys.argv[1]), sys.argv[2])
