       01  NUMBER-FORMS.
           05  ZONED-TRAILING      PIC S9(5).
           05  ZONED-LEADING       PIC S9(5) SIGN LEADING.
           05  SEPARATE-TRAILING   PIC S9(5) SIGN TRAILING SEPARATE.
           05  SEPARATE-LEADING    PIC S9(5) SIGN LEADING SEPARATE.
           05  PACKED-ODD          PIC S9(5) COMP-3.
           05  PACKED-EVEN         PIC S9(6) COMP-3.
           05  BINARY-4            PIC S9(4) COMP.
           05  BINARY-9            PIC S9(9) COMP.
           05  BINARY-18           PIC S9(18) COMP.
           05  NATIVE-9            PIC S9(9) COMP-5.
           05  FILLED-BY           PIC X(3).
