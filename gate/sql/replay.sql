What `maguey-gate replay` reads of a journal, without writing to it.

-- records --
select {columns} from scans order by seq
