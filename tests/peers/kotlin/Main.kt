// Prints what the page's class finds in the pictures of a folder, as JSON: Main FOLDER PICTURES

import android.graphics.Bitmap
import org.json.JSONArray
import org.json.JSONObject
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder

fun main(arguments: Array<String>) {
    val content = File(arguments[0], "model.tflite").readBytes()
    val model = ByteBuffer.allocateDirect(content.size).order(ByteOrder.nativeOrder()).put(content)
    model.rewind()
    val net = Net(model, File(arguments[0], "manifest.json").readText())
    val found = JSONObject()
    for (file in File(arguments[1]).listFiles()!!) {
        val answers = JSONArray()
        for (answer in net.predict(Bitmap(file))) {
            val one = JSONObject().put("name", answer.name)
            one.put(if (answer.box == null) "probability" else "score", answer.score.toDouble())
            val sides = listOf("xmin", "ymin", "xmax", "ymax")
            answer.box?.zip(sides)?.forEach { (value, side) -> one.put(side, value.toDouble()) }
            answers.put(one)
        }
        found.put(file.name, answers)
    }
    println(found)
    System.exit(0) // ends the bridge, whose input is then closed
}
