      * The nightly run: reads the master and a deck of cards, writes
      * the next generation of the master and a report. Text stays in
      * CCSID 273 all the way; only the report is in ISO 8859-1.
       IDENTIFICATION DIVISION.
       PROGRAM-ID. NIGHT.
       ENVIRONMENT DIVISION.
       INPUT-OUTPUT SECTION.
       FILE-CONTROL.
           SELECT OPTIONAL MASTER-IN ASSIGN TO MASTERIN
               ORGANIZATION IS SEQUENTIAL FILE STATUS IS WS-STATUS.
           SELECT CARDS-IN ASSIGN TO CARDSIN
               ORGANIZATION IS SEQUENTIAL.
           SELECT MASTER-OUT ASSIGN TO MASTEROUT
               ORGANIZATION IS SEQUENTIAL.
           SELECT REPORT-OUT ASSIGN TO REPORTOUT
               ORGANIZATION IS LINE SEQUENTIAL.
       DATA DIVISION.
       FILE SECTION.
       FD  MASTER-IN.
       COPY "master.cpy".
       FD  CARDS-IN.
       COPY "cards.cpy".
       FD  MASTER-OUT.
       01  OUT-RECORD              PIC X(80).
       FD  REPORT-OUT.
       01  REPORT-LINE             PIC X(60).
       WORKING-STORAGE SECTION.
       01  WS-STATUS               PIC XX.
       01  WS-END                  PIC 9 VALUE 0.
       01  WS-TODAY                PIC 9(5).
       01  WS-TODAY-TEXT REDEFINES WS-TODAY PIC X(5).
       01  WS-GENERATION           PIC 9(5) VALUE 0.
       01  WS-HASH                 PIC S9(11) VALUE 0.
       01  WS-USED                 PIC 9(4) VALUE 0.
       01  WS-AT                   PIC 9(4).
       01  WS-FOUND                PIC 9(4).
       01  WS-LAST-NUMBER          PIC S9(7) VALUE 0.
       01  WS-LAST-SEQUENCE        PIC X(8) VALUE LOW-VALUES.
       01  WS-SLOT                 PIC 9.
       01  WS-SAYS                 PIC X(12).
       01  WS-NAME                 PIC X(16).
       01  WS-DIGITS-4             PIC 9(4).
       01  WS-TEXT-4 REDEFINES WS-DIGITS-4 PIC X(4).
       01  WS-DIGITS-5             PIC 9(5).
       01  WS-TEXT-5 REDEFINES WS-DIGITS-5 PIC X(5).
       01  WS-DIGITS-12            PIC 9(12).
       01  WS-TEXT-12 REDEFINES WS-DIGITS-12 PIC X(12).
       01  WS-EDITED               PIC Z(6)9.
       01  E-DIGITS                PIC X(10)
           VALUE X"F0F1F2F3F4F5F6F7F8F9".
       01  A-DIGITS                PIC X(10) VALUE "0123456789".
       01  E-SPACES                PIC X(24) VALUE ALL X"40".
       01  E-LETTERS.
           05  FILLER              PIC X(9)
               VALUE X"C1C2C3C4C5C6C7C8C9".
           05  FILLER              PIC X(9)
               VALUE X"D1D2D3D4D5D6D7D8D9".
           05  FILLER              PIC X(8)
               VALUE X"E2E3E4E5E6E7E8E9".
           05  FILLER              PIC X(5)
               VALUE X"4AE05A6040".
       01  A-LETTERS.
           05  FILLER              PIC X(26)
               VALUE "ABCDEFGHIJKLMNOPQRSTUVWXYZ".
           05  FILLER              PIC X(5)
               VALUE X"C4D6DC2D20".
       01  HOSTS.
           05  HOST OCCURS 500 TIMES ASCENDING KEY IS HOST-NAME.
               10  HOST-NAME       PIC X(16) VALUE HIGH-VALUES.
               10  HOST-BODY       PIC X(80).
       PROCEDURE DIVISION.
       MAIN-LINE.
           ACCEPT WS-TODAY FROM ENVIRONMENT "TODAY"
           OPEN OUTPUT REPORT-OUT
           OPEN INPUT MASTER-IN
           IF WS-STATUS = "00"
               PERFORM READ-MASTER
               CLOSE MASTER-IN
           END-IF
           OPEN INPUT CARDS-IN
           MOVE 0 TO WS-END
           PERFORM UNTIL WS-END = 1
               READ CARDS-IN AT END MOVE 1 TO WS-END
               NOT AT END PERFORM ONE-CARD
               END-READ
           END-PERFORM
           CLOSE CARDS-IN
           SORT HOST ASCENDING KEY HOST-NAME
           PERFORM WRITE-MASTER
           CLOSE REPORT-OUT
           STOP RUN.

       READ-MASTER.
           MOVE 0 TO WS-END
           PERFORM UNTIL WS-END = 1
               READ MASTER-IN AT END MOVE 1 TO WS-END
               NOT AT END PERFORM ONE-MASTER
               END-READ
           END-PERFORM.

       ONE-MASTER.
           EVALUATE TRUE
           WHEN HDR-TYPE = X"C8"
               MOVE HDR-GENERATION TO WS-GENERATION
           WHEN DTL-IS-HOST
               IF DTL-NUMBER NOT NUMERIC
                   MOVE "BAD NUMBER" TO WS-SAYS
                   PERFORM REJECT-MASTER
               END-IF
               ADD 1 TO WS-USED
               MOVE DTL-NAME TO HOST-NAME (WS-USED)
               MOVE MASTER-DETAIL TO HOST-BODY (WS-USED)
               ADD DTL-NUMBER TO WS-HASH
               IF DTL-NUMBER > WS-LAST-NUMBER
                   MOVE DTL-NUMBER TO WS-LAST-NUMBER
               END-IF
               IF WS-USED > 1
                   IF HOST-NAME (WS-USED) < HOST-NAME (WS-USED - 1)
                       MOVE "NOT SORTED" TO WS-SAYS
                       PERFORM REJECT-MASTER
                   END-IF
               END-IF
           WHEN TRL-TYPE = X"E3"
               IF TRL-COUNT NOT = WS-USED
                   MOVE "BAD COUNT" TO WS-SAYS
                   PERFORM REJECT-MASTER
               END-IF
               IF TRL-HASH NOT = WS-HASH
                   MOVE "BAD HASH" TO WS-SAYS
                   PERFORM REJECT-MASTER
               END-IF
               IF TRL-GENERATION NOT = WS-GENERATION
                   MOVE "BAD GEN" TO WS-SAYS
                   PERFORM REJECT-MASTER
               END-IF
           WHEN OTHER
               MOVE "BAD TYPE" TO WS-SAYS
               PERFORM REJECT-MASTER
           END-EVALUATE.

       REJECT-MASTER.
           MOVE SPACES TO REPORT-LINE
           STRING "MASTER REFUSED: " WS-SAYS DELIMITED BY SIZE
               INTO REPORT-LINE
           WRITE REPORT-LINE
           CLOSE REPORT-OUT MASTER-IN
           MOVE 8 TO RETURN-CODE
           STOP RUN.

       ONE-CARD.
           INSPECT CARD-SEQUENCE CONVERTING E-DIGITS TO A-DIGITS
           IF CARD-SEQUENCE NOT NUMERIC
               OR CARD-SEQUENCE NOT > WS-LAST-SEQUENCE
               MOVE "SEQUENCE" TO WS-SAYS
           ELSE
               MOVE CARD-SEQUENCE TO WS-LAST-SEQUENCE
               MOVE 0 TO WS-FOUND
               PERFORM VARYING WS-AT FROM 1 BY 1
                   UNTIL WS-AT > WS-USED
                   IF HOST-NAME (WS-AT) = CARD-NAME
                       MOVE WS-AT TO WS-FOUND
                   END-IF
               END-PERFORM
               PERFORM DO-CARD
           END-IF
           MOVE CARD-NAME TO WS-NAME
           INSPECT WS-NAME CONVERTING E-DIGITS TO A-DIGITS
           INSPECT WS-NAME CONVERTING E-LETTERS TO A-LETTERS
           MOVE SPACES TO REPORT-LINE
           STRING CARD-SEQUENCE " " WS-SAYS " " WS-NAME
               DELIMITED BY SIZE INTO REPORT-LINE
           WRITE REPORT-LINE.

       DO-CARD.
           EVALUATE TRUE
           WHEN CARD-ACTION = X"C1"
               IF WS-FOUND > 0
                   MOVE "DUPLICATE" TO WS-SAYS
               ELSE
                   PERFORM ADD-HOST
                   MOVE "ADDED" TO WS-SAYS
               END-IF
           WHEN WS-FOUND = 0
               MOVE "UNKNOWN" TO WS-SAYS
           WHEN OTHER
               MOVE HOST-BODY (WS-FOUND) TO MASTER-DETAIL
               MOVE CARD-REVISION TO WS-TEXT-4
               INSPECT WS-TEXT-4 CONVERTING E-DIGITS TO A-DIGITS
               IF WS-DIGITS-4 NOT NUMERIC
                   OR WS-DIGITS-4 NOT = DTL-REVISION
                   MOVE "STALE" TO WS-SAYS
               ELSE
                   PERFORM CHANGE-OR-DELETE
               END-IF
           END-EVALUATE.

       CHANGE-OR-DELETE.
           IF CARD-ACTION = X"C4"
               MOVE HIGH-VALUES TO HOST-NAME (WS-FOUND)
               MOVE "DELETED" TO WS-SAYS
           ELSE
               PERFORM CHANGE-HOST
               ADD 1 TO DTL-REVISION
               MOVE MASTER-DETAIL TO HOST-BODY (WS-FOUND)
               MOVE "CHANGED" TO WS-SAYS
           END-IF.

       ADD-HOST.
           MOVE ALL X"40" TO MASTER-DETAIL
           MOVE X"C4" TO DTL-TYPE
           ADD 1 TO WS-LAST-NUMBER
           MOVE WS-LAST-NUMBER TO DTL-NUMBER
           MOVE CARD-NAME TO DTL-NAME
           MOVE 0 TO DTL-ADDRESS (1) DTL-ADDRESS (2)
           MOVE 0 TO DTL-EXPIRES
           MOVE 1 TO DTL-REVISION
           PERFORM CHANGE-HOST
           ADD 1 TO WS-USED
           MOVE DTL-NAME TO HOST-NAME (WS-USED)
           MOVE MASTER-DETAIL TO HOST-BODY (WS-USED).

      * A blank field is not changed, a minus sign clears it.
       CHANGE-HOST.
           IF CARD-NICKNAME NOT = E-SPACES (1:8)
               MOVE CARD-NICKNAME TO DTL-NICKNAME
               IF CARD-NICKNAME (1:1) = X"60"
                   MOVE E-SPACES TO DTL-NICKNAME
               END-IF
           END-IF
           IF CARD-MACHINE NOT = E-SPACES (1:8)
               MOVE CARD-MACHINE TO DTL-MACHINE
               IF CARD-MACHINE (1:1) = X"60"
                   MOVE E-SPACES TO DTL-MACHINE
               END-IF
           END-IF
           IF CARD-SYSTEM NOT = E-SPACES (1:6)
               MOVE CARD-SYSTEM TO DTL-SYSTEM
               IF CARD-SYSTEM (1:1) = X"60"
                   MOVE E-SPACES TO DTL-SYSTEM
               END-IF
           END-IF
           IF CARD-ADDRESS (1) NOT = E-SPACES (1:12)
               OR CARD-ADDRESS (2) NOT = E-SPACES (1:12)
               PERFORM VARYING WS-SLOT FROM 1 BY 1 UNTIL WS-SLOT > 2
                   MOVE CARD-ADDRESS (WS-SLOT) TO WS-TEXT-12
                   INSPECT WS-TEXT-12 CONVERTING E-DIGITS TO A-DIGITS
                   IF WS-DIGITS-12 NUMERIC
                       MOVE WS-DIGITS-12 TO DTL-ADDRESS (WS-SLOT)
                   ELSE
                       MOVE 0 TO DTL-ADDRESS (WS-SLOT)
                   END-IF
               END-PERFORM
           END-IF
           IF CARD-EXPIRES NOT = E-SPACES (1:5)
               MOVE CARD-EXPIRES TO WS-TEXT-5
               INSPECT WS-TEXT-5 CONVERTING E-DIGITS TO A-DIGITS
               IF WS-DIGITS-5 NUMERIC
                   MOVE WS-DIGITS-5 TO DTL-EXPIRES
               ELSE
                   MOVE 0 TO DTL-EXPIRES
               END-IF
           END-IF
           MOVE WS-TODAY-TEXT TO DTL-CHANGED-TEXT
           INSPECT DTL-CHANGED-TEXT CONVERTING A-DIGITS TO E-DIGITS.

       WRITE-MASTER.
           OPEN OUTPUT MASTER-OUT
           ADD 1 TO WS-GENERATION
           MOVE ALL X"40" TO MASTER-HEADER
           MOVE X"C8" TO HDR-TYPE
           MOVE X"C8D6E2E3E2404040" TO HDR-SYSTEM
           MOVE WS-GENERATION TO HDR-GENERATION
           MOVE WS-TODAY TO HDR-DATE
           WRITE OUT-RECORD FROM MASTER-HEADER
           MOVE 0 TO WS-HASH
           MOVE 0 TO WS-FOUND
           PERFORM VARYING WS-AT FROM 1 BY 1 UNTIL WS-AT > 500
               IF HOST-NAME (WS-AT) NOT = HIGH-VALUES
                   MOVE HOST-BODY (WS-AT) TO MASTER-DETAIL
                   ADD DTL-NUMBER TO WS-HASH
                   ADD 1 TO WS-FOUND
                   WRITE OUT-RECORD FROM MASTER-DETAIL
               END-IF
           END-PERFORM
           MOVE ALL X"40" TO MASTER-TRAILER
           MOVE X"E3" TO TRL-TYPE
           MOVE WS-FOUND TO TRL-COUNT
           MOVE WS-HASH TO TRL-HASH
           MOVE WS-GENERATION TO TRL-GENERATION
           WRITE OUT-RECORD FROM MASTER-TRAILER
           CLOSE MASTER-OUT
           MOVE SPACES TO REPORT-LINE
           MOVE WS-GENERATION TO WS-EDITED
           STRING "MASTER WRITTEN: GENERATION" WS-EDITED
               DELIMITED BY SIZE INTO REPORT-LINE
           WRITE REPORT-LINE.
