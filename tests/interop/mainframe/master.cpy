      * The master file of hosts: 80 octets, CCSID 273.
       01  MASTER-HEADER.
           05  HDR-TYPE            PIC X.
           05  HDR-SYSTEM          PIC X(8).
           05  HDR-GENERATION      PIC 9(5) COMP-3.
           05  HDR-DATE            PIC 9(5) COMP-3.
           05  FILLER              PIC X(65).
       01  MASTER-DETAIL.
           05  DTL-TYPE            PIC X.
               88  DTL-IS-HOST     VALUE X'C4'.
           05  DTL-NUMBER          PIC S9(7) COMP-3.
           05  DTL-NAME            PIC X(16).
           05  DTL-NICKNAME        PIC X(8).
           05  DTL-ADDRESS         PIC 9(12) COMP-3 OCCURS 2 TIMES.
           05  DTL-MACHINE         PIC X(8).
           05  DTL-SYSTEM          PIC X(6).
           05  DTL-EXPIRES         PIC 9(5) COMP-3.
           05  DTL-CHANGED         PIC 9(5).
           05  DTL-CHANGED-TEXT REDEFINES DTL-CHANGED PIC X(5).
           05  DTL-REVISION        PIC 9(4) COMP.
           05  FILLER              PIC X(13).
       01  MASTER-TRAILER.
           05  TRL-TYPE            PIC X.
           05  TRL-COUNT           PIC 9(7) COMP.
           05  TRL-HASH            PIC S9(11) COMP-3.
           05  TRL-GENERATION      PIC 9(5) COMP-3.
           05  FILLER              PIC X(66).
