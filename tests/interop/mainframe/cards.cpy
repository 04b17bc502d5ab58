      * A change to the master file: one card, CCSID 273.
       01  CARD.
           05  CARD-ACTION         PIC X.
           05  CARD-NAME           PIC X(16).
           05  CARD-NICKNAME       PIC X(8).
           05  CARD-ADDRESS        PIC X(12) OCCURS 2 TIMES.
           05  CARD-MACHINE        PIC X(8).
           05  CARD-SYSTEM         PIC X(6).
           05  CARD-EXPIRES        PIC X(5).
           05  CARD-REVISION       PIC X(4).
           05  CARD-SEQUENCE       PIC X(8).
