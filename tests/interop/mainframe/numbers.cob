      * Writes numbers in every way that COBOL stores them.
       IDENTIFICATION DIVISION.
       PROGRAM-ID. NUMBERS-OUT.
       ENVIRONMENT DIVISION.
       INPUT-OUTPUT SECTION.
       FILE-CONTROL.
           SELECT NUMBERS-FILE ASSIGN TO NUMBERSOUT
               ORGANIZATION IS SEQUENTIAL.
       DATA DIVISION.
       FILE SECTION.
       FD  NUMBERS-FILE.
       COPY "numbers.cpy".
       WORKING-STORAGE SECTION.
       01  WS-VALUES.
           05  FILLER              PIC S9(5) COMP-5 VALUE 0.
           05  FILLER              PIC S9(5) COMP-5 VALUE 7.
           05  FILLER              PIC S9(5) COMP-5 VALUE -7.
           05  FILLER              PIC S9(5) COMP-5 VALUE 1230.
           05  FILLER              PIC S9(5) COMP-5 VALUE -1230.
           05  FILLER              PIC S9(5) COMP-5 VALUE 9999.
           05  FILLER              PIC S9(5) COMP-5 VALUE -9999.
       01  WS-TABLE REDEFINES WS-VALUES.
           05  WS-VALUE            PIC S9(5) COMP-5 OCCURS 7 TIMES.
       01  WS-AT                   PIC 9.
       PROCEDURE DIVISION.
       MAIN-LINE.
           OPEN OUTPUT NUMBERS-FILE
           PERFORM VARYING WS-AT FROM 1 BY 1 UNTIL WS-AT > 7
               MOVE WS-VALUE (WS-AT) TO ZONED-TRAILING
               MOVE WS-VALUE (WS-AT) TO ZONED-LEADING
               MOVE WS-VALUE (WS-AT) TO SEPARATE-TRAILING
               MOVE WS-VALUE (WS-AT) TO SEPARATE-LEADING
               MOVE WS-VALUE (WS-AT) TO PACKED-ODD
               MOVE WS-VALUE (WS-AT) TO PACKED-EVEN
               MOVE WS-VALUE (WS-AT) TO BINARY-4
               MOVE WS-VALUE (WS-AT) TO BINARY-9
               MOVE WS-VALUE (WS-AT) TO BINARY-18
               MOVE WS-VALUE (WS-AT) TO NATIVE-9
               MOVE "END" TO FILLED-BY
               WRITE NUMBER-FORMS
           END-PERFORM
           CLOSE NUMBERS-FILE
           STOP RUN.
