// Stands in for LiteRT's class: the process of the property `bridge` (litert_bridge.py) runs the net.

package org.tensorflow.lite

import java.io.DataInputStream
import java.io.DataOutputStream
import java.nio.ByteBuffer

class Interpreter(model: ByteBuffer, options: Options) {
    class Options {
        fun setNumThreads(count: Int) = this
    }

    private val bridge = ProcessBuilder(System.getProperty("bridge").split("\n"))
        .redirectError(ProcessBuilder.Redirect.INHERIT).start()
    private val requests = DataOutputStream(bridge.outputStream)
    private val replies = DataInputStream(bridge.inputStream)

    init {
        send(model)
    }

    fun runSignature(inputs: Map<String, Any>, outputs: Map<String, Any>, signature: String) {
        check(signature == "serving_default")
        send(inputs.getValue("tensors") as ByteBuffer)
        for (name in outputs.keys.sorted()) {
            val content = ByteArray(replies.readInt())
            replies.readFully(content)
            (outputs.getValue(name) as ByteBuffer).put(content)
        }
    }

    private fun send(buffer: ByteBuffer) {
        check(buffer.isDirect && buffer.position() == 0)
        val content = ByteArray(buffer.remaining())
        buffer.get(content)
        requests.writeInt(content.size)
        requests.write(content)
        requests.flush()
    }
}
