#!/usr/bin/python3
"""A peer for sealed packets, made with PyNaCl: u8 version, u32 nonce length, u32 ciphertext length, nonce, ciphertext.

sealed_peer.py serve --key HEX             answers each packet with its plaintext, until stdin ends
sealed_peer.py send HOST PORT --key HEX    seals stdin, sends it, and writes the opened answer to stdout
"""

import argparse
import asyncio
import struct
import sys

try:
    from nacl.exceptions import CryptoError
    from nacl.secret import SecretBox
except ImportError as error:
    sys.exit(f"sealed_peer.py: PyNaCl is missing ({error}): install the Debian package python3-nacl and use /usr/bin/python3")

VERSION = 1
HEAD = struct.Struct("!BII")
LIMIT = 16 * 1024 * 1024


class Refused(Exception):
    """A packet that is not taken; the text is the code."""


def pack(box, plaintext):
    """A packet under a nonce drawn for it."""
    sealed = box.encrypt(plaintext)
    return HEAD.pack(VERSION, len(sealed.nonce), len(sealed.ciphertext)) + sealed.nonce + sealed.ciphertext


async def unpack(reader, box):
    """The plaintext of the next packet; None where the stream ends before it."""
    try:
        version, nonce_len, ciphertext_len = HEAD.unpack(await reader.readexactly(HEAD.size))
        if version != VERSION:
            raise Refused("unsupported-version")
        if nonce_len != SecretBox.NONCE_SIZE:
            raise Refused("bad-nonce-length")
        if ciphertext_len < SecretBox.MACBYTES:
            raise Refused("ciphertext-too-short")
        if ciphertext_len > LIMIT:
            raise Refused("ciphertext-too-large")
        nonce = await reader.readexactly(nonce_len)
        ciphertext = await reader.readexactly(ciphertext_len)
    except asyncio.IncompleteReadError as error:
        if error.expected == HEAD.size and not error.partial:
            return None
        raise Refused("truncated") from None
    try:
        return box.decrypt(ciphertext, nonce)
    except CryptoError:
        raise Refused("decryption-failed") from None


async def serve(box):
    async def answer(reader, writer):
        try:
            while (plaintext := await unpack(reader, box)) is not None:
                writer.write(pack(box, plaintext))
                await writer.drain()
        except Refused as refused:
            print(f"sealed_peer.py: refused a packet: {refused}", file=sys.stderr, flush=True)
        except OSError as error:
            print(f"sealed_peer.py: a connection broke: {error}", file=sys.stderr, flush=True)
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(f"listening on {server.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
    server.close()


async def send(box, host, port):
    plaintext = sys.stdin.buffer.read()
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(pack(box, plaintext))
        await writer.drain()
        answer = await unpack(reader, box)
    finally:
        writer.close()
    if answer is None:
        raise Refused("ended-without-answer")
    sys.stdout.buffer.write(answer)
    sys.stdout.buffer.flush()


def key(text):
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != SecretBox.KEY_SIZE:
        raise argparse.ArgumentTypeError(f"a key is {2 * SecretBox.KEY_SIZE} hexadecimal digits")
    return key


def main():
    parser = argparse.ArgumentParser(prog="sealed_peer.py", description="A peer for sealed packets, made with PyNaCl.")
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="answer each packet with its plaintext, until stdin ends")
    sending = commands.add_parser("send", help="seal stdin, send it, write the opened answer to stdout")
    sending.add_argument("host")
    sending.add_argument("port", type=int)
    for command in (serving, sending):
        command.add_argument("--key", type=key, required=True, metavar="HEX")
    arguments = parser.parse_args()
    box = SecretBox(arguments.key)
    try:
        if arguments.command == "serve":
            asyncio.run(serve(box))
        else:
            asyncio.run(send(box, arguments.host, arguments.port))
    except Refused as refused:
        sys.exit(f"sealed_peer.py: no answer: {refused}")
    except OSError as error:
        sys.exit(f"sealed_peer.py: the connection failed: {error}")


if __name__ == "__main__":
    main()
