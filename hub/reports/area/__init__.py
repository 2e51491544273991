"""Reports about an area: a ward or a province, counted, with what to repair first and how it went over the months."""
