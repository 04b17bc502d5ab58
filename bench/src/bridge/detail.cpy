       01  MASTER-DETAIL.
           05  DTL-TYPE            PIC X(1).
           05  DTL-NUMBER          PIC S9(7) COMP-3.
           05  DTL-NAME            PIC X(16).
           05  DTL-NICKNAME        PIC X(8).
           05  DTL-ADDRESS-1       PIC S9(13) COMP-3.
           05  DTL-ADDRESS-2       PIC S9(13) COMP-3.
           05  DTL-MACHINE         PIC X(8).
           05  DTL-SYSTEM          PIC X(6).
           05  DTL-EXPIRES         PIC S9(5) COMP-3.
           05  DTL-CHANGED         PIC 9(5).
           05  DTL-REVISION        PIC X(2).
           05  DTL-REST            PIC X(13).
