"""What a model asks of a device, by kind of work."""

from fraudnet.energy.counting import ModelCount


def work_of_model(count: ModelCount) -> tuple[int, int, int, int, int]:
    """Amounts of the kinds of work that have a cost of their own.

    Multiply-accumulates of convolutions (and all that have no place of their own), depthwise and
    fully connected ones; bytes of activations read and written; bytes of parameters read.
    """
    macs = count.macs_by_operator
    depthwise, dense = macs["DEPTHWISE_CONV_2D"], macs["FULLY_CONNECTED"]
    activations = count.activation_bytes_read + count.activation_bytes_written
    convolution = count.macs - depthwise - dense
    return convolution, depthwise, dense, activations, count.parameter_bytes_read
