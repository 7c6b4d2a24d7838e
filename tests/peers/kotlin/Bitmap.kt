// Stands in for Android's class.

package android.graphics

import java.io.File
import javax.imageio.ImageIO

class Bitmap(file: File) {
    private val image = ImageIO.read(file)
    val width: Int get() = image.width
    val height: Int get() = image.height

    fun getPixels(pixels: IntArray, offset: Int, stride: Int, x: Int, y: Int, width: Int, height: Int) {
        if (image.raster.numBands > 1) {
            image.getRGB(x, y, width, height, pixels, offset, stride)
        } else { // Java takes gray for linear light
            for (place in 0 until width * height) {
                val gray = image.raster.getSample(x + place % width, y + place / width, 0)
                pixels[offset + place / width * stride + place % width] = gray * 0x10101
            }
        }
    }
}
