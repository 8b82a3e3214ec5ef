"""What a day, a week or a month goes through, how far it is counted, and how its rows leave the disk."""
