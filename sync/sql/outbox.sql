What sync reads of the door's journal. It never writes there.

-- meta --
select value from meta where key = ?

-- version --
pragma data_version
