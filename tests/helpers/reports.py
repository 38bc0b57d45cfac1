"""Runs `bench` in this process."""

from airoboros_gptq import cli


def bench(capsys, *arguments):
    code = cli.main(['bench', *map(str, arguments)])
    return code, *capsys.readouterr()
