"""Reads records of 80 octets by a copybook with coboljsonifier; prints MB/s of processor time."""

import sys
import time

from coboljsonifier.config.parser_type_enum import ParseType
from coboljsonifier.copybookextractor import CopybookExtractor
from coboljsonifier.parser import Parser

OCTETS = 80

structure = CopybookExtractor(sys.argv[1]).dict_book_structure
parser = Parser(structure, ParseType.BINARY_EBCDIC).build()
with open(sys.argv[2], "rb") as file:
    data = file.read()
begun = time.process_time()
for at in range(0, len(data), OCTETS):
    parser.parse(data[at : at + OCTETS])
    parser.value
print(len(data) / (time.process_time() - begun) / 1e6)
