"""TFLite files: conversion, rewrites of the graph for XNNPACK, and int8 quantization."""
