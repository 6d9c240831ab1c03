/** ONNX files. Apart from the main entry, so that what runs a model needs no protobuf library. */
export * from './messages.js';
