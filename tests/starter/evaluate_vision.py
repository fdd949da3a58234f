"""Draws pictures and asks about them, through llama.cpp's picture path.

python -m tests.starter.evaluate_vision MODEL.gguf MMPROJ.gguf
"""

import base64
import io
import random
import sys

import llama_cpp
from llama_cpp.llama_chat_format import MTMDChatHandler
from PIL import Image, ImageDraw

C = {
    "red": (255, 0, 0),
    "green": (0, 150, 50),
    "blue": (0, 0, 255),
    "yellow": (255, 230, 0),
    "orange": (255, 150, 0),
    "purple": (130, 0, 150),
    "pink": (255, 170, 200),
    "brown": (120, 70, 30),
    "black": (0, 0, 0),
    "white": (255, 255, 255),
}


def image(shape, col, bg, size=224, r=0.38, cx=0.5, cy=0.5):
    im = Image.new("RGB", (size * 4, size * 4), C[bg])
    d = ImageDraw.Draw(im)
    s = size * 4
    x, y, q, f = cx * s, cy * s, r * s, C[col]
    if shape == "circle":
        d.ellipse([x - q, y - q, x + q, y + q], fill=f)
    if shape == "square":
        d.rectangle([x - 0.85 * q, y - 0.85 * q, x + 0.85 * q, y + 0.85 * q], fill=f)
    if shape == "triangle":
        d.polygon([(x, y - q), (x - 0.9 * q, y + 0.8 * q), (x + 0.9 * q, y + 0.8 * q)], fill=f)
    if shape == "diamond":
        d.polygon([(x, y - q), (x + q, y), (x, y + q), (x - q, y)], fill=f)
    if shape == "ring":
        d.ellipse([x - q, y - q, x + q, y + q], fill=f)
        d.ellipse([x - 0.55 * q, y - 0.55 * q, x + 0.55 * q, y + 0.55 * q], fill=C[bg])
    if shape == "cross":
        d.rectangle([x - 0.32 * q, y - 0.95 * q, x + 0.32 * q, y + 0.95 * q], fill=f)
        d.rectangle([x - 0.95 * q, y - 0.32 * q, x + 0.95 * q, y + 0.32 * q], fill=f)
    if shape == "star":
        import math

        d.polygon(
            [
                (
                    x + (q if i % 2 == 0 else 0.45 * q) * math.sin(i * math.pi / 5),
                    y - (q if i % 2 == 0 else 0.45 * q) * math.cos(i * math.pi / 5),
                )
                for i in range(10)
            ],
            fill=f,
        )
    b = io.BytesIO()
    im.resize((size, size), Image.LANCZOS).save(b, "PNG")
    return "data:image/png;base64," + base64.b64encode(b.getvalue()).decode()


def main():
    h = MTMDChatHandler(clip_model_path=sys.argv[2], verbose=False)
    llm = llama_cpp.Llama(sys.argv[1], chat_handler=h, n_ctx=1024, n_threads=2, verbose=False)
    r = random.Random(11)
    n = ok = okc = oks = 0
    bad = []
    an = lambda w: ("an " if w[0] in "aeiou" else "a ") + w
    for shape in ("circle", "square", "triangle", "diamond", "star", "cross", "ring"):
        for _ in range(6):
            col = r.choice(list(C))
            bg = r.choice([c for c in C if c != col])
            u = image(
                shape, col, bg, r.choice((56, 100, 224, 300)), r.uniform(0.32, 0.44), r.uniform(0.46, 0.54), r.uniform(0.46, 0.54)
            )
            o = llm.create_chat_completion(
                messages=[
                    {
                        "role": "user",
                        "content": [
                            {"type": "image_url", "image_url": {"url": u}},
                            {"type": "text", "text": "What is in this image?"},
                        ],
                    }
                ],
                temperature=0,
                repeat_penalty=1.0,
                max_tokens=60,
                stop=["<|im_end|>"],
            )["choices"][0]["message"]["content"].strip()
            n += 1
            ok += o == f"The image shows {an(col)} {shape} on {an(bg)} background."
            okc += col in o
            oks += shape in o
            if o != f"The image shows {an(col)} {shape} on {an(bg)} background.":
                bad.append((col, shape, bg, o))
    print("exact", ok, "colour", okc, "shape", oks, "of", n)
    for b in bad[:12]:
        print(b)
    for q in ("What colour is it?", "What shape is it?", "What colour is the background?", "这张图片里有什么？"):
        o = llm.create_chat_completion(
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": image("square", "red", "white")}},
                        {"type": "text", "text": q},
                    ],
                }
            ],
            temperature=0,
            repeat_penalty=1.0,
            max_tokens=60,
            stop=["<|im_end|>"],
        )["choices"][0]["message"]["content"]
        print("red square on white |", q, "->", o)


if __name__ == "__main__":
    main()
